package postgres

import (
	"fmt"
	"testing"
)

// A client that writes its values into its texts sends none of them twice: what
// is kept of each must not add up.
func TestResolvedIsBounded(t *testing.T) {
	r := resolved{texts: map[string]*decoded{}}
	for n := range 100_000 {
		d := &decoded{text: fmt.Sprintf("SELECT %d", n)}
		r.keep(d)
		if r.texts[d.text] != d {
			t.Fatal("the newest is not kept")
		}
		if most := maxResolvedBytes / resolvedText; len(r.texts) > most {
			t.Fatalf("%d texts are kept, %d at most", len(r.texts), most)
		}
	}
}
