package masking

import "bytes"

// passwordWords begin the names to which secrets are assigned.
var passwordWords = []string{
	"password", "passwd", "passphrase", "pwd", "secret", "token", "api_key", "apikey", "api-key",
	"access_key", "accesskey", "accountkey", "private_key", "identified by",
}

// longest bounds how far a value is followed, in bytes.
const longest = 4096

// verifyPassword matches the value in password=…, password: …, "password": "…"
// and SQL's PASSWORD '…'. Placeholders, and expressions that carry no secret,
// are no values.
func verifyPassword(b []byte, at, end int) verdict {
	i := end
	for i < len(b) && i-end < 40 && (identChar[b[i]] || b[i] == '-') {
		i++
	}
	word := fold(string(b[at:end]))
	if word == "token" && i != end && b[end] != '_' && b[end] != '-' || word == "token" && i < len(b) && b[i] == 's' {
		return verdict{} // tokenize, tokens
	}
	if i < len(b) && (b[i] == '"' || b[i] == '\'') {
		i++ // the name was quoted
	}
	name := i
	i = blanks(b, i)
	spaced := i > name
	if i == len(b) {
		return verdict{}
	}
	switch {
	case b[i] == '=' || b[i] == ':':
		separator := b[i]
		if bytes.HasPrefix(b[i:], []byte("::")) || bytes.HasPrefix(b[i:], []byte("==")) || bytes.HasPrefix(b[i:], []byte("://")) {
			return verdict{}
		}
		i++
		if i < len(b) && b[i] == '>' {
			i++
		}
		value := blanks(b, i)
		spaced = spaced || value > i
		return assigned(b, at, value, separator == '=' && spaced)
	case spaced && b[i] == '\'' && word != "token":
		return assigned(b, at, i, true) // PASSWORD '…', IDENTIFIED BY '…'
	default:
		return verdict{}
	}
}

// assigned matches a value. strict is set where only a quoted value, or one
// that ends its line, is told from an expression.
func assigned(b []byte, key, start int, strict bool) verdict {
	if start >= len(b) {
		return verdict{}
	}
	if q := b[start]; (q == 'E' || q == 'e') && start+1 < len(b) && b[start+1] == '\'' {
		start++
	}
	if q := b[start]; q == '"' || q == '\'' || q == '`' {
		start++
		stop := start
		for stop < len(b) && stop-start < longest && (b[stop] != q || stop+1 < len(b) && b[stop+1] == q && q == '\'') {
			if b[stop] == '\\' && stop+1 < len(b) || b[stop] == q {
				stop++
			}
			stop++
		}
		stop = min(stop, len(b))
		if stop-start < 1 || placeholder(b[start:stop]) {
			return verdict{}
		}
		return verdict{start: start, stop: stop, next: stop}
	}
	stop := start
	for stop < len(b) && stop-start < longest && bytes.IndexByte([]byte(" \t\r\n,;&)]}'\"|"), b[stop]) < 0 {
		stop++
	}
	if stop-start < 3 || call(b[start:]) || placeholder(b[start:stop]) || stop < len(b) && placeholder(b[start:stop+1]) {
		return verdict{}
	}
	if strict && !ownLine(b, key, stop) {
		return verdict{}
	}
	return verdict{start: start, stop: stop, next: stop}
}

// call reports a function call: an expression, of which the arguments are looked
// at by themselves.
func call(b []byte) bool {
	name := identChar.run(b[:min(len(b), 64)], 0)
	return name > 0 && name < len(b) && b[name] == '(' && bytes.IndexByte(b[name:min(len(b), name+longest)], ')') > 0
}

// ownLine reports that nothing but a name stands before, and nothing after, on
// the line: a line of a configuration file.
func ownLine(b []byte, from, to int) bool {
	for from > 0 && b[from-1] != '\n' {
		from--
		if !identChar[b[from]] && b[from] != ' ' && b[from] != '-' && b[from] != '.' && b[from] != '\t' {
			return false
		}
		if b[from] == ' ' && from > 0 && identChar[b[from-1]] {
			return false // a word before: SET password = …
		}
	}
	to = blanks(b, to)
	return to == len(b) || b[to] == '\n' || b[to] == '\r'
}

func blanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// verifyConnectionString matches the password in scheme://user:password@host.
func verifyConnectionString(b []byte, at, end int) verdict {
	scheme := at
	for scheme > 0 && at-scheme < 32 && (isAlnum(b[scheme-1]) || b[scheme-1] == '+' || b[scheme-1] == '-') {
		scheme--
	}
	if scheme == at {
		return verdict{}
	}
	// A slash ends the authority of a URL; in a database's connection string
	// people leave it unescaped in the password.
	stops := " \t\r\n\"'`<>"
	if s := fold(string(b[scheme:at])); s == "http" || s == "https" || s == "git" || s == "ftp" {
		stops += "/?#"
	}
	limit := end
	for limit < len(b) && limit-end < longest && bytes.IndexByte([]byte(stops), b[limit]) < 0 && !bytes.HasPrefix(b[limit:], []byte("://")) {
		limit++
	}
	host := bytes.LastIndexByte(b[end:limit], '@')
	if host < 0 {
		return verdict{}
	}
	colon := bytes.IndexByte(b[end:end+host], ':')
	if colon < 0 || colon+1 >= host || bytes.IndexByte(b[end:end+colon], '/') >= 0 || placeholder(b[end+colon+1:end+host]) {
		return verdict{}
	}
	return verdict{start: end + colon + 1, stop: end + host, next: end + host}
}
