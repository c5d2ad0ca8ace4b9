package admin

import (
	"os"
	"testing"

	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// Every page with its sample data, in every language, as everybody who could see it.
func TestPagesRender(t *testing.T) {
	if err := edge.TryPages(); err != nil {
		t.Fatal(err)
	}
}
