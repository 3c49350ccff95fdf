package message

import "strings"

// The room for what is to be approved, well within Slack's 3,000 characters a
// section. More than this nobody reads in a channel.
const (
	sectionRoom = 2900
	maxSections = 3
	maxLines    = 120
)

// fence puts foreign text of several lines into code blocks, one a section,
// and reports whether all of it fits. Where it does not, only the first block
// is returned, and how many characters of how many it shows.
func fence(s string, sections int) (blocks []string, whole bool) {
	text := strings.ReplaceAll(Reveal(s), "```", "``‹U+0060›")
	if strings.TrimSpace(text) == "" {
		text = "‹empty›"
	}
	lines := strings.SplitAfter(text, "\n")
	parts := pack(lines)
	if len(parts) <= sections && len(lines) <= maxLines {
		for _, p := range parts {
			blocks = append(blocks, wrap(p))
		}
		return blocks, true
	}
	head := parts[0]
	if short, was := cut(head, 1000); was {
		head = short
	}
	if top := strings.SplitAfter(head, "\n"); len(top) > 20 {
		head = strings.Join(top[:20], "") + "…"
	}
	return []string{wrap(head)}, false
}

// wrap leaves a line break before the closing fence, so that a backtick at the
// end of the text does not become part of it.
func wrap(s string) string { return "```\n" + escape(strings.TrimSuffix(s, "\n")) + "\n```" }

// pack fills parts of at most sectionRoom with whole lines; a line longer than
// a part is broken.
func pack(lines []string) []string {
	var parts []string
	var b strings.Builder
	used := 0
	flush := func() {
		if b.Len() > 0 {
			parts = append(parts, b.String())
			b.Reset()
			used = 0
		}
	}
	for _, line := range lines {
		n := units(escape(line))
		if used+n > sectionRoom {
			flush()
		}
		for n > sectionRoom {
			at := fit(line, sectionRoom)
			parts = append(parts, line[:at])
			line = line[at:]
			n = units(escape(line))
		}
		b.WriteString(line)
		used += n
	}
	flush()
	return parts
}

// fit returns how many bytes of s fit into n escaped units.
func fit(s string, n int) int {
	used := 0
	for i, r := range s {
		if used += units(escape(string(r))); used > n {
			return i
		}
	}
	return len(s)
}
