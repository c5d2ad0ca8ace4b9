// Package browsertest walks Frist in a real browser: make browser. It has no code of its own.
package browsertest
