// Package web holds the files the browser gets, and those from which its pages are made. They are part of the program,
// so that one binary is the whole installation.
package web

import "embed"

// Static is served as it is, under /static/<hash>/.
//
//go:embed all:static
var Static embed.FS

// Templates are the pages: layout.html, the partials (their names begin with _) and one file for each page.
//
//go:embed all:templates
var Templates embed.FS

// Locales are the sentences, one file for each language.
//
//go:embed locales/*.json
var Locales embed.FS
