package main

import (
	"fmt"
	"strings"
)

// embed replaces what stands in a text between the two lines that mark a part.
func embed(text, part, content string) (string, error) {
	begin := fmt.Sprintf("<!-- begin %s: made by \"go run ./hack/chart\" -->\n", part)
	end := fmt.Sprintf("<!-- end %s -->\n", part)
	before, rest, foundBegin := strings.Cut(text, begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !foundBegin || !foundEnd {
		return "", fmt.Errorf("the two lines that mark the part are missing:\n%s%s", begin, end)
	}
	return before + begin + content + end + after, nil
}
