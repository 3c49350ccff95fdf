package masking

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/gatestay/gatestay/libs/command"
)

// types turns binary parameters into text. A pgtype.Map is not safe for
// concurrent use, so each caller takes one of its own.
type types struct{ maps sync.Pool }

func newTypes() *types {
	return &types{maps: sync.Pool{New: func() any { return pgtype.NewMap() }}}
}

// text returns the text form of a binary parameter; ok is false where the type
// is not known or the bytes are not of it.
func (t *types) text(p command.Parameter) (text string, ok bool) {
	m := t.maps.Get().(*pgtype.Map)
	// The bytes come from a client: a decoder that panics over them must not
	// take the gateway down. The map it was in is not used again.
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	known, found := m.TypeForOID(p.Type)
	if !found {
		return "", false
	}
	value, err := known.Codec.DecodeDatabaseSQLValue(m, p.Type, pgtype.BinaryFormatCode, p.Value)
	if err != nil {
		return "", false
	}
	t.maps.Put(m)
	switch v := value.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	case time.Time:
		return v.Format("2006-01-02 15:04:05.999999Z07:00"), true
	case nil:
		return "", false
	default:
		raw, err := json.Marshal(v)
		return fmt.Sprintf("%s", raw), err == nil
	}
}
