// Package migrations holds the database's history: goose files in one line, River's own schema among them.
package migrations

import "embed"

// FS holds every migration, in the order of its number.
//
//go:embed *.sql
var FS embed.FS
