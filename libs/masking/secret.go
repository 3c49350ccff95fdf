package masking

import (
	"bytes"
	"encoding/base64"
)

// verifyAWSSecret matches the 40 characters that are assigned to a name such as
// aws_secret_access_key.
func verifyAWSSecret(b []byte, at, end int) verdict {
	if end-at != len("secret") {
		return verdict{}
	}
	i := identChar.run(b[:min(len(b), end+40)], end)
	for n := 0; i < len(b) && n < 6 && bytes.IndexByte([]byte(` "'=:>`), b[i]) >= 0; n++ {
		i++
	}
	return exactly40(b, i)
}

func exactly40(b []byte, start int) verdict {
	stop := base64Char.run(b[:min(len(b), start+48)], start) // one that is longer is no key
	for stop > start && b[stop-1] == '=' {
		stop--
	}
	run := b[start:stop]
	if len(run) != 40 {
		return verdict{}
	}
	upper, other := false, false
	for _, c := range run {
		upper = upper || isUpper(c)
		other = other || c > 'f' && c <= 'z' || c > 'F' && c <= 'Z' || c == '/' || c == '+'
	}
	if !upper || !other { // 40 hex digits are a SHA-1
		return verdict{}
	}
	return verdict{start: start, stop: stop, next: stop}
}

// awsPartner finds the secrets that stand in one text with an access key id.
func awsPartner(b []byte, spans []span) []span {
	for i := 0; i < len(b); {
		if !base64Char[b[i]] || b[i] == '=' {
			i++
			continue
		}
		if v := exactly40(b, i); v.stop > 0 {
			spans = append(spans, span{v.start, v.stop, detectAWS})
		}
		i = base64Char.run(b, i)
	}
	return spans
}

// verifyJWT matches two dots between base64url parts of which the first is a
// JSON object. The third part may be empty: alg none.
func verifyJWT(b []byte, at, _ int) verdict {
	if string(b[at:at+3]) != "eyJ" || at > 0 && isAlnum(b[at-1]) {
		return verdict{}
	}
	first := base64URL.run(b, at)
	if first == len(b) || b[first] != '.' || first-at < 10 {
		return verdict{next: first}
	}
	second := base64URL.run(b, first+1)
	if second == len(b) || b[second] != '.' || second-first < 3 {
		return verdict{next: first}
	}
	stop := base64URL.run(b, second+1)
	for stop < len(b) && b[stop] == '.' { // five parts: encrypted
		stop = base64URL.run(b, stop+1)
	}
	if b[stop-1] == '.' && stop-1 > second {
		stop--
	}
	return verdict{start: at, stop: stop, next: stop}
}

// verifyPrivateKey matches a PEM private key from BEGIN to END, or to the end of
// the text where there is no END. Line breaks may be escaped.
func verifyPrivateKey(b []byte, at, end int) verdict {
	if b[at] != '-' {
		return verdict{start: at, stop: len(b), next: len(b)} // PuTTY's own format
	}
	head := b[end:min(len(b), end+64)]
	close := bytes.Index(head, []byte("-----"))
	if close < 0 || !bytes.Contains(bytes.ToUpper(head[:close]), []byte("PRIVATE KEY")) {
		return verdict{}
	}
	body := end + close + 5
	footer := bytes.Index(b[body:], []byte("-----END"))
	if footer < 0 {
		return verdict{start: at, stop: len(b), next: len(b)}
	}
	stop := body + footer + len("-----END")
	if tail := bytes.Index(b[stop:min(len(b), stop+64)], []byte("-----")); tail >= 0 {
		stop += tail + 5
	}
	return verdict{start: at, stop: stop, next: stop}
}

// verifyBearer matches the credentials of an HTTP Authorization header.
func verifyBearer(b []byte, at, end int) verdict {
	if b[end-1] != ' ' || at > 0 && isAlnum(b[at-1]) {
		return verdict{}
	}
	start := end
	for start < len(b) && b[start] == ' ' {
		start++
	}
	basic := b[at] == 'b' && b[at+1] == 'a' || b[at] == 'B' && (b[at+1] == 'a' || b[at+1] == 'A')
	if !basic {
		stop := start
		for stop < len(b) && (wordDot[b[stop]] || base64Char[b[stop]] || b[stop] == '~') {
			stop++
		}
		if stop-start < 16 || !hasDigit(b[start:stop]) {
			return verdict{next: end}
		}
		return verdict{start: start, stop: stop, next: stop}
	}
	stop := base64Char.run(b, start)
	decoded, err := base64.StdEncoding.DecodeString(string(b[start:stop]))
	if err != nil || bytes.IndexByte(decoded, ':') < 1 || !printable(decoded) {
		return verdict{next: end}
	}
	return verdict{start: start, stop: stop, next: stop}
}

func hasDigit(b []byte) bool { return bytes.ContainsAny(b, "0123456789") }

func printable(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}
