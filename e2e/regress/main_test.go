package regress_test

import (
	"os"
	"testing"

	"github.com/gatestay/gatestay/libs/embedded"
)

func TestMain(m *testing.M) {
	embedded.MaybeChild()
	os.Exit(m.Run())
}
