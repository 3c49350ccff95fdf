package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

func TestCompleteTarget(t *testing.T) {
	e := &Env{Dir: t.TempDir()}
	if got, directive := e.CompleteTarget(nil, nil, ""); got != nil || directive != cobra.ShellCompDirectiveNoFileComp {
		t.Error("without gatestay dev:", got, directive)
	}
	if err := os.WriteFile(filepath.Join(e.Dir, "dev.json"), []byte(`{"targets":["prod-db","staging-db"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.CompleteTarget(nil, nil, ""); !slices.Equal(got, []string{"prod-db", "staging-db"}) {
		t.Error(got)
	}
	if got, directive := e.CompleteTarget(nil, []string{"prod-db"}, ""); got != nil || directive != cobra.ShellCompDirectiveDefault {
		t.Error("behind the target:", got, directive) // the command's own words
	}
}
