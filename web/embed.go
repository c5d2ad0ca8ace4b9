// Package web holds the files the browser gets. They are part of the program,
// so that one binary is the whole installation.
package web

import "embed"

// Static is served as it is, under /static/. The folders templates and locales
// get their own variables here as they come.
//
//go:embed all:static
var Static embed.FS
