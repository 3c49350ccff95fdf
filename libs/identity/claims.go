package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDepth bounds nesting of JSON in a token.
const maxDepth = 16

// Claims is a token's payload. Names are exact; numbers are json.Number.
type Claims map[string]any

// parseObject decodes one JSON object. It refuses what two readers may
// understand differently: duplicate names, names that differ by case only,
// invalid UTF-8, and anything after the object.
func parseObject(raw []byte) (Claims, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON object")
	}
	object, ok := v.(Claims)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return object, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("JSON is nested too deep")
	}
	token, err := d.Token()
	if err != nil {
		return nil, errors.New("not valid JSON")
	}
	switch token {
	case json.Delim('{'):
		return parseMembers(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, closing(d)
	default:
		return token, nil
	}
}

func parseMembers(d *json.Decoder, depth int) (Claims, error) {
	object, seen := Claims{}, map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, errors.New("not valid JSON")
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("not valid JSON")
		}
		if folded := strings.ToLower(name); seen[folded] {
			return nil, fmt.Errorf("the name %q appears twice", clip(name))
		} else {
			seen[folded] = true
		}
		if object[name], err = parseValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	return object, closing(d)
}

func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return errors.New("not valid JSON")
	}
	return nil
}

// Text returns a scalar claim as text; empty where it is absent or no scalar.
func (c Claims) Text(name string) string {
	switch v := c[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	default:
		return ""
	}
}

// audience returns aud, which is one string or a list of strings.
func (c Claims) audience() []string {
	switch v := c["aud"].(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			out = append(out, s)
		}
		return out
	default:
		return nil
	}
}

// moment reads a NumericDate (RFC 7519, section 2). present is false where the
// claim is absent; a claim that is no sane date is an error.
func (c Claims) moment(name string) (t time.Time, present bool, err error) {
	v, present := c[name]
	if !present {
		return time.Time{}, false, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, true, fmt.Errorf("%s is not a number", name)
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1<<40 {
		return time.Time{}, true, fmt.Errorf("%s is out of range", name)
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true, nil
}

// rest returns the scalar claims that are not in used, as text.
func (c Claims) rest(used map[string]bool) map[string]string {
	out := map[string]string{}
	for name := range c {
		if s := c.Text(name); s != "" && !used[name] && !registered[name] {
			out[name] = s
		}
	}
	return out
}

// registered are the claims of RFC 7519 that say nothing about who.
var registered = map[string]bool{"iss": true, "sub": true, "aud": true, "exp": true, "nbf": true, "iat": true, "jti": true}

// clip bounds what of a stranger's text is said back.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
