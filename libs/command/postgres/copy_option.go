package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// options reads the options as the server does (ProcessCopyOptions in
// src/backend/commands/copy.c). One that is given twice, or that the server
// would refuse, is unclear: what a later server makes of it is not for us to say.
func (c *Copy) options(list []*pg.Node) {
	c.Format = CopyText
	seen := map[string]bool{}
	var delimiter, quote, escape, null *string
	for _, n := range list {
		o := n.GetDefElem()
		name := o.GetDefname()
		if seen[name] || o.GetDefnamespace() != "" {
			c.unclear("the option %s is given twice", name)
		}
		seen[name] = true
		text, ok := optionText(o.GetArg())
		switch name {
		case "format":
			c.Format = CopyFormat(text)
			if c.Format != CopyText && c.Format != CopyCSV && c.Format != CopyBinary {
				c.unclear("the format %q is not known", text)
			}
		case "delimiter":
			delimiter = &text
		case "null":
			null = &text
		case "quote":
			quote = &text
		case "escape":
			escape = &text
		case "header":
			ok = c.header(o.GetArg() == nil, text)
		case "encoding":
			if !utf8Name(text) && (!c.From || !asciiApart(text)) {
				c.unclear("the data is in the encoding %q", text)
			}
		case "force_quote", "freeze", "default", "force_not_null", "force_null", "on_error", "log_verbosity", "reject_limit":
			ok = true // the data shows what is quoted; the rest is of COPY FROM, and refused elsewhere
		default:
			c.unclear("the option %s is not known", name)
		}
		if !ok {
			c.unclear("the option %s has a value that is not known", name)
		}
	}
	c.Delimiter, c.Null = '\t', `\N`
	if c.Format == CopyCSV {
		c.Delimiter, c.Null, c.Quote = ',', "", '"'
	}
	if null != nil {
		c.Null = *null
	}
	c.single("DELIMITER", delimiter, &c.Delimiter)
	c.single("QUOTE", quote, &c.Quote)
	c.Escape = c.Quote
	c.single("ESCAPE", escape, &c.Escape)
	c.contradictions()
}

func (c *Copy) unclear(format string, args ...any) {
	if c.Unclear == "" {
		c.Unclear = fmt.Sprintf(format, args...)
	}
}

// single takes an option that is one byte.
func (c *Copy) single(name string, value *string, to *byte) {
	switch {
	case value == nil:
	case len(*value) != 1:
		c.unclear("%s is not one byte", name)
	default:
		*to = (*value)[0]
	}
}

// contradictions finds what would make a row ambiguous. The server refuses all
// of it.
func (c *Copy) contradictions() {
	const never = "\\.abcdefghijklmnopqrstuvwxyz0123456789" // as a delimiter in text format
	switch d := c.Delimiter; {
	case c.Format == CopyBinary:
		if c.Header {
			c.unclear("HEADER with the format binary")
		}
		return
	case d == '\n' || d == '\r' || d >= 0x80 || strings.ContainsAny(c.Null, "\r\n") || strings.IndexByte(c.Null, d) >= 0:
		c.unclear("DELIMITER and NULL cannot be told apart from the data")
	case c.Format != CopyCSV:
		if strings.IndexByte(never, d) >= 0 || c.Quote != 0 || c.Escape != 0 {
			c.unclear("DELIMITER, QUOTE or ESCAPE do not fit the format text")
		}
	case c.Quote == d || c.Quote == '\n' || c.Quote == '\r' || c.Quote >= 0x80 || c.Escape == '\n' || c.Escape == '\r' || c.Escape >= 0x80 || strings.IndexByte(c.Null, c.Quote) >= 0:
		c.unclear("QUOTE or ESCAPE cannot be told apart from the data")
	}
}

// header reads HEADER, whose value may be left out. MATCH is for COPY FROM.
func (c *Copy) header(bare bool, text string) bool {
	switch strings.ToLower(text) {
	case "true", "on", "1":
		c.Header = true
	case "false", "off", "0":
	case "match":
		c.Header = true
		return c.From
	default:
		c.Header = bare
		return bare
	}
	return true
}

// optionText is the value of an option as defGetString has it. ok is false for
// none, and for what is no scalar.
func optionText(n *pg.Node) (text string, ok bool) {
	switch v := n.GetNode().(type) {
	case *pg.Node_String_:
		return v.String_.GetSval(), true
	case *pg.Node_Integer:
		return strconv.Itoa(int(v.Integer.GetIval())), true
	case *pg.Node_Float:
		return v.Float.GetFval(), true
	case *pg.Node_Boolean:
		return strconv.FormatBool(v.Boolean.GetBoolval()), true
	default:
		return "", false
	}
}

func utf8Name(name string) bool {
	switch strings.ToLower(name) {
	case "utf8", "utf-8", "unicode":
		return true
	}
	return false
}

// asciiApart reports an encoding in which a byte of ASCII is never a part of
// another character, so that what is written in ASCII can be read without knowing
// it. Names are compared as the server does: letters and digits, in lower case.
func asciiApart(name string) bool {
	var plain strings.Builder
	for _, c := range strings.ToLower(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			plain.WriteRune(c)
		}
	}
	return slices.ContainsFunc([]string{"latin", "iso8859", "euc", "koi8", "win125", "windows125", "win866", "win874", "sqlascii"}, func(known string) bool {
		return strings.HasPrefix(plain.String(), known)
	})
}

// readsAs reports that the parser makes of a text this one statement, places in
// the text apart.
func readsAs(text string, want *pg.Node) bool {
	tree, err := parseTree(text)
	if err != nil || len(tree.GetStmts()) != 1 {
		return false
	}
	got, same := tree.GetStmts()[0].GetStmt(), proto.Clone(want)
	forgetPlaces(got.ProtoReflect())
	forgetPlaces(same.ProtoReflect())
	return proto.Equal(got, same)
}

func forgetPlaces(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if fd := fields.Get(i); fd.Kind() == protoreflect.Int32Kind && strings.HasSuffix(string(fd.Name()), "location") {
			m.Clear(fd)
		}
	}
	for child := range below(m) {
		forgetPlaces(child)
	}
}
