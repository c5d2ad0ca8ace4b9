package proof

import (
	"os"
	"testing"

	"github.com/frist-app/frist/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// long is for the larger sizes of `make proof`.
var long = os.Getenv("FRIST_PROOF") == "long"
