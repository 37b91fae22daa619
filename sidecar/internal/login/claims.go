package login

import "encoding/json"

// standardClaims are the claims a page may see if the policy names none: those
// about a person (OpenID Connect Core section 5.1), without address and phone.
// Everything else stays here (BFF-45): a claim that is added at the provider
// does not turn up in browsers by itself.
var standardClaims = []string{
	"sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile",
	"picture", "website", "email", "email_verified", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
}

// maxClaim bounds a claim, in bytes of JSON. Pictures are sometimes sent whole.
const maxClaim = 4096

// shownClaims picks the claims that are on the list. It returns the names of
// those that are too large and therefore missing.
func shownClaims(all map[string]any, list []string) (picked map[string]any, tooLarge []string) {
	picked = make(map[string]any, len(list))
	for _, name := range list {
		value, there := all[name]
		if !there {
			continue
		}
		if encoded, err := json.Marshal(value); err != nil || len(encoded) > maxClaim {
			tooLarge = append(tooLarge, name)
			continue
		}
		picked[name] = value
	}
	return picked, tooLarge
}
