package plan

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
)

// bookkeeping.json holds, for each tool, the statements by which it keeps its own
// table, as it sends them with the table's default name. $1 and other constants
// stand for any: what is compared is the rest, to the letter.
//
//go:embed bookkeeping.json
var raw []byte

// SQL is the tool of plain files: it keeps no table.
const SQL = "sql"

var tools = sync.OnceValues(func() (map[string][]string, error) {
	var out map[string][]string
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("plan: bookkeeping.json: %w", err)
	}
	return out, nil
})

// Tools are those whose bookkeeping is known, and SQL.
func Tools() []string {
	known, _ := tools()
	return slices.Sorted(maps.Keys(known))
}

// Keeping returns the statements of a tool's bookkeeping.
func Keeping(tool string) []string {
	known, _ := tools()
	return known[tool]
}

// Bookkeeping reports that a statement of a shape (libs/command/postgres.Blanked)
// is the tool's own.
func Bookkeeping(tool string, blanked []byte) bool {
	return len(blanked) > 0 && slices.ContainsFunc(Keeping(tool), func(sql string) bool { return bytes.Equal(pgfacts.Blanked(sql), blanked) })
}
