package wire

import (
	"bytes"
	"regexp"
	"strings"
)

// bearerToken is what RFC 6750 section 2.1 takes for a token.
var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// DecodeBearer reads the first word of an OAUTHBEARER client: n,,^Aauth=Bearer TOKEN^A^A with fields
// beside it. The token is empty where a client asks where to get one.
func DecodeBearer(data []byte) (string, error) {
	// Neither binding to the channel nor acting for somebody else is defined here.
	rest, ok := bytes.CutPrefix(data, []byte("n,,\x01"))
	if !ok {
		if rest, ok = bytes.CutPrefix(data, []byte("y,,\x01")); !ok {
			return "", ErrMalformed
		}
	}
	fields, ok := bytes.CutSuffix(rest, []byte("\x01\x01"))
	if !ok {
		return "", ErrMalformed
	}
	value, found := "", false
	for field := range strings.SplitSeq(string(fields), "\x01") {
		name, v, ok := strings.Cut(field, "=")
		if !ok || name == "" || strings.ContainsFunc(field, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r > '~' }) {
			return "", ErrMalformed
		}
		if name != "auth" {
			continue
		}
		if found {
			return "", ErrMalformed
		}
		value, found = v, true
	}
	if !found {
		return "", ErrMalformed
	}
	if value == "" {
		return "", nil
	}
	scheme, token, ok := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || !bearerToken.MatchString(token) {
		return "", ErrMalformed
	}
	return token, nil
}
