package admin

import (
	"testing"

	"github.com/frist-app/frist/internal/edge"
)

func TestEveryPageRendersInEveryLanguage(t *testing.T) {
	if err := edge.TryPages(); err != nil {
		t.Fatal(err)
	}
}
