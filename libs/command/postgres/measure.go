package postgres

import "strings"

const (
	// maxDepth bounds how deep a parse tree may be. At this depth the C side
	// needs less than 1 MiB of stack (measured with ulimit -s); glibc gives a
	// thread 8 MiB, or 2 where there is no limit; musl's 128 KiB would not do.
	maxDepth = 2000
	// maxCopies bounds, in bytes of text, what the tree holds more than once:
	// libpg_query writes the source of SET (a, b, c) = (…) for each column.
	maxCopies = MaxText
	// maxTokens bounds the nodes of the tree, each of which takes some hundred
	// bytes.
	maxTokens = 300_000
	// maxRuns bounds the sum of the squares of the lengths of all runs of
	// operator characters: PostgreSQL's scanner looks at the rest of a run for
	// each token that it takes from it, /**//**//**/… included. About 0.2 s.
	maxRuns = 100_000_000
)

// measured refuses a text that costs the parser too much: its C code neither
// stops early nor survives a stack that overflows.
func measured(sql string, toks []token) error {
	what := ""
	depth, copies := measure(sql, toks)
	switch {
	case len(toks) > maxTokens:
		what = "it has too many words"
	case depth > maxDepth:
		what = "it is nested too deeply"
	case copies > maxCopies:
		what = "it assigns too many columns from one long list"
	case runs(sql, toks) > maxRuns:
		what = "it has too long a run of operators or comments"
	default:
		return nil
	}
	return &SyntaxError{Message: what, Position: -1, Unread: true}
}

// runs returns the sum of the squares of the lengths of runs of operator
// characters, in comments too; strings and quoted names do not count.
func runs(sql string, toks []token) int {
	sum, run, behind := 0, 0, int32(0)
	end := func() {
		sum += run * run
		run = 0
	}
	for _, t := range toks {
		if t.start != behind || t.kind != tokOperator && t.kind != tokComment {
			end()
		}
		if behind = t.end; t.kind != tokOperator && t.kind != tokComment {
			continue
		}
		if strings.HasPrefix(sql[t.start:t.end], "--") { // taken at once
			end()
			continue
		}
		for i := t.start; i < t.end; i++ {
			if isOperator(sql[i]) {
				run++
			} else {
				end()
			}
		}
	}
	end()
	return sum
}

// measure returns an upper bound of how deep the parse tree of a text can be,
// and of the bytes of text that it holds again and again.
//
// A path from the root to a leaf passes, at each level of brackets, tokens of
// one element of a list only: what commas and semicolons separate becomes a
// flat list, and so does what AND and OR separate. Set operations, joins and
// nested CASE lean over such separators: they are counted for the whole bracket.
func measure(sql string, toks []token) (depth, copies int) {
	stack := []bracket{{}}
	for i, t := range toks {
		top := &stack[len(stack)-1]
		switch role(sql, t) {
		case roleComment:
		case roleOpen:
			top.element++
			stack = append(stack, bracket{})
		case roleClose:
			if len(stack) > 1 {
				copies += top.end(t)
				stack = stack[:len(stack)-1]
				stack[len(stack)-1].holds(top, assigned(sql, toks[i+1:]), t)
			}
		case roleSeparator:
			copies += top.end(t)
			top.elements++
		case roleLeaning:
			top.chain++
			top.element++
		case roleNone:
			top.element++
		}
	}
	// Brackets left open do not parse, but cost the parser nothing either.
	for i := range stack {
		if len(toks) > 0 {
			copies += stack[i].end(toks[len(toks)-1])
		}
		depth += stack[i].longest + stack[i].chain
	}
	return depth, copies
}

// tokenRole is what a token does to the shape of a tree.
type tokenRole int

const (
	roleNone tokenRole = iota
	roleComment
	roleOpen      // ( [
	roleClose     // ) ]
	roleSeparator // what it separates is flat
	roleLeaning   // what it joins leans over separators
)

func role(sql string, t token) tokenRole {
	switch t.kind {
	case tokComment:
		return roleComment
	case tokOther:
		switch sql[t.start] {
		case '(', '[':
			return roleOpen
		case ')', ']':
			return roleClose
		case ',', ';':
			return roleSeparator
		}
	case tokWord:
		if t.end-t.start > int32(len("intersect")) {
			return roleNone
		}
		switch strings.ToLower(t.text(sql)) {
		case "and", "or":
			return roleSeparator
		case "union", "intersect", "except", "join", "case":
			return roleLeaning
		}
	case tokText, tokNumber, tokParam, tokOperator:
	}
	return roleNone
}

// bracket is one level of brackets, as measure has seen it so far.
type bracket struct {
	element  int // tokens of the element that is being read
	inner    int // depth of the deepest bracket in it
	longest  int // depth of the deepest element before it
	chain    int // what leans over elements
	elements int // how many have ended
	// targets is n after (c1, …, cn) =, whose source begins at source.
	targets, source int
}

// end ends the element that is being read, before or with a token.
func (b *bracket) end(t token) (copies int) {
	b.longest = max(b.longest, b.element+b.inner)
	copies = b.targets * (int(t.end) - b.source)
	b.element, b.inner, b.targets = 0, 0, 0
	return copies
}

// holds takes in an inner bracket that t has closed.
func (b *bracket) holds(inner *bracket, assigned bool, t token) {
	b.inner = max(b.inner, inner.longest+inner.chain+1)
	if assigned && inner.elements > 0 {
		b.targets, b.source = inner.elements+1, int(t.end)
	}
}

// assigned reports that an equals sign comes next.
func assigned(sql string, toks []token) bool {
	for _, t := range toks {
		if t.kind != tokComment {
			return t.kind == tokOperator && sql[t.start] == '='
		}
	}
	return false
}
