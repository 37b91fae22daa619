// Package web holds the files of the sample application "Shop".
package web

import "embed"

// Files are served as they are: there is no build step.
//
//go:embed *.html *.css *.js *.svg
var Files embed.FS
