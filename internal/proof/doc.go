// Package proof holds the tests that look at the whole from outside: that the catalogue of the database keeps the rules
// (V4), that nothing of a client who went is left anywhere (V5), and that whoever may see nobody sees nobody, by SQL and
// in the browser (V6). It has no code of its own.
//
// FRIST_PROOF=long lets the random ones run longer.
package proof
