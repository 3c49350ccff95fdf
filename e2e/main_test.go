package e2e

import (
	"os"
	"testing"

	"github.com/gatestay/gatestay/e2e/kit"
)

// shared is the one Gatestay of this package's tests.
var shared kit.Shared

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }
