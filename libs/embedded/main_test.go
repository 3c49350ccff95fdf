package embedded

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	MaybeChild()
	if dir := os.Getenv(parentVariable); dir != "" {
		parentRole(dir)
	}
	if native := os.Getenv(clientVariable); native != "" {
		clientRole(native)
	}
	if config := os.Getenv(binaryVariable); config != "" {
		binaryRole(config)
	}
	os.Exit(m.Run())
}
