package login

// shown are the claims of an ID token that a page may see (OpenID Connect Core
// section 5.1). Everything else stays here (BFF-45): a claim that is added at
// the provider does not turn up in browsers by itself.
var shown = []string{
	"sub", "name", "given_name", "family_name", "nickname", "preferred_username",
	"picture", "email", "email_verified", "locale", "zoneinfo", "updated_at",
}

// maxClaim bounds a claim's text, in bytes. Pictures are sometimes sent whole.
const maxClaim = 2048

// shownClaims picks the claims a page may see. They are strings, numbers and
// booleans; what is something else or too long is left out.
func shownClaims(all map[string]any) map[string]any {
	picked := make(map[string]any, len(shown))
	for _, name := range shown {
		switch value := all[name].(type) {
		case string:
			if len(value) <= maxClaim {
				picked[name] = value
			}
		case float64, bool:
			picked[name] = value
		}
	}
	return picked
}
