package main

import "testing"

// The measures are made by hand and seldom; this is what keeps them from rotting. It measures nothing: no figure is read.
func TestBenchStillRuns(t *testing.T) {
	b := &bench{scale: 1000}
	if err := b.run(t.Context(), t.TempDir(), "", false); err != nil {
		t.Fatal(err)
	}
	if len(b.figures) < 10 {
		t.Errorf("%d figures", len(b.figures))
	}
}
