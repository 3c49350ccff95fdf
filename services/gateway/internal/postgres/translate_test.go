package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/seam"
	"github.com/gatestay/gatestay/services/gateway/internal/seam/seamtest"
)

// TestTranslatedParameters: the target gets the core's value in place of the
// client's, in both formats, and all else of the Bind as it was.
func TestTranslatedParameters(t *testing.T) {
	g := start(t, &seamtest.Gate{Decide: func(c *seam.Command) seamtest.Decision {
		if len(c.Parameters) == 3 && string(c.Parameters[1].Value) == "gst_x" {
			return seamtest.Decision{Translated: map[int][]byte{1: []byte("user7@example.com")}}
		}
		return seamtest.Decision{}
	}})
	r := dialRaw(t, g.config(t))
	for _, formats := range [][]int16{nil, {0}, {1}, {0, 1, 0}, {1, 0, 0}} {
		r.send(t, &pgproto3.Parse{Name: "s", Query: "SELECT id, $1::text, $3::text IS NULL FROM customers WHERE email = $2", ParameterOIDs: []uint32{25, 25}})
		r.send(t, &pgproto3.Bind{PreparedStatement: "s", ParameterFormatCodes: formats, Parameters: [][]byte{[]byte("gst_x"), []byte("gst_x"), nil}, ResultFormatCodes: []int16{1, 0, 0}})
		r.send(t, &pgproto3.Execute{}, &pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
		got := slices.DeleteFunc(r.until(t, 1), func(s string) bool {
			return !strings.HasPrefix(s, "row") && !strings.HasPrefix(s, "error") && !strings.HasPrefix(s, "ready")
		})
		equal(t, "rows", got, []string{`row ["\x00\x00\x00\a" "gst_x" "t"]`, "ready I"})
	}
}
