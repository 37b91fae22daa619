package page

import (
	"bytes"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
)

// Form is sent by POST to another origin, by itself or, without script, by its
// button. What is in it is for that origin alone: the page's policy puts it into
// a sandbox, so that its document has an origin of its own and no script of the
// application, which has the same address, can read it. A service worker of the
// application sees every answer it lets through; keeping this one from it is for
// who calls Write.
type Form struct {
	// Action is an absolute http or https URL. The page's policy forbids to send
	// the form to anything else.
	Action string
	Fields url.Values
	// Button is the button's text.
	Button string
}

// script submits the form while the document is still being read, so that the
// page never becomes an entry of the browser's history. It asks the prototype,
// since a field may be called submit.
const script = `HTMLFormElement.prototype.submit.call(document.forms[0])`

func (f *Form) html(b *bytes.Buffer) {
	fmt.Fprintf(b, "<form method=\"post\" action=\"%s\">\n", html.EscapeString(f.Action))
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		for _, value := range f.Fields[name] {
			fmt.Fprintf(b, "<input type=\"hidden\" name=\"%s\" value=\"%s\">\n", html.EscapeString(name), html.EscapeString(value))
		}
	}
	fmt.Fprintf(b, "<button>%s</button>\n</form>\n<script>%s</script>\n", html.EscapeString(f.Button), script)
}
