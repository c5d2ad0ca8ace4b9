// Package api holds the contract of the programs' interface: openapi.yaml is written by hand, reviewed as the agreement
// with suppliers, and served as it is under /api/openapi.yaml.
package api

import _ "embed"

// Spec is openapi.yaml.
//
//go:embed openapi.yaml
var Spec []byte
