package postgres

import (
	"container/list"
	"hash/maphash"
	"strings"
	"sync"
)

// Cache remembers what Parse read, by the exact text and, where that is proved
// to be the same, by its shape; bounded in bytes: what was not asked for longest
// goes first. Safe for concurrent use.
type Cache struct {
	seed   maphash.Seed
	shards [16]shard
	// heavy lets one long text be parsed at a time: its tree takes some hundred
	// times its memory.
	heavy chan struct{}
}

type shard struct {
	mu      sync.Mutex
	entries map[key]*list.Element
	recent  *list.List // front is the newest
	bytes   int
	limit   int
}

// key is a text, or the key of a shape: neither is ever taken for the other.
type key struct {
	text  string
	shape bool
}

type entry struct {
	key
	numbers    []token // of a shape
	statements []Statement
	bytes      int
}

// heavyText is the length from which a text waits for its turn.
const heavyText = 64 << 10

// NewCache returns a cache that holds about maxBytes at most.
func NewCache(maxBytes int) *Cache {
	c := &Cache{seed: maphash.MakeSeed(), heavy: make(chan struct{}, 1)}
	for i := range c.shards {
		c.shards[i] = shard{entries: map[key]*list.Element{}, recent: list.New(), limit: maxBytes / len(c.shards)}
	}
	return c
}

// Parse is like the function of that name. The statements are shared: do not
// change them. Errors are not remembered.
func (c *Cache) Parse(sql string) ([]Statement, error) {
	if e := c.get(key{text: sql}); e != nil {
		return e.statements, nil
	}
	if err := readable(sql); err != nil {
		return nil, err
	}
	if len(sql) >= heavyText {
		c.heavy <- struct{}{}
		defer func() { <-c.heavy }()
	}
	text := strings.Clone(sql) // the caller's may be part of a larger buffer
	toks := lex(text)
	sh, shaped := shapeOf(text, toks)
	if shaped {
		if e := c.get(key{sh.key, true}); e != nil && sh.fits(shape{sh.key, e.numbers}) {
			return bind(e.statements, text), nil
		}
	}
	st, tree, err := parse(text, toks)
	if err != nil {
		return nil, err
	}
	if shaped && sh.proved(text, st, tree) {
		c.put(&entry{key: key{sh.key, true}, numbers: sh.numbers, statements: st, bytes: size(text, st) + len(text)})
	} else {
		c.put(&entry{key: key{text: text}, statements: st, bytes: size(text, st)})
	}
	return st, nil
}

func (c *Cache) shard(k key) *shard {
	return &c.shards[maphash.String(c.seed, k.text)%uint64(len(c.shards))]
}

func (c *Cache) get(k key) *entry {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	el, ok := s.entries[k]
	if !ok {
		return nil
	}
	s.recent.MoveToFront(el)
	return el.Value.(*entry) //nolint:forcetypeassert // only entries are in it
}

func (c *Cache) put(e *entry) {
	s := c.shard(e.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[e.key]; ok || e.bytes > s.limit {
		return
	}
	s.entries[e.key] = s.recent.PushFront(e)
	s.bytes += e.bytes
	for s.bytes > s.limit {
		oldest := s.recent.Back()
		old := s.recent.Remove(oldest).(*entry) //nolint:forcetypeassert // only entries are in it
		delete(s.entries, old.key)
		s.bytes -= old.bytes
	}
}

// size estimates what an entry takes in memory.
func size(text string, statements []Statement) int {
	const (
		base   = 512 // entry, list element, map slot
		header = 16  // a string
	)
	n := base + len(text)
	for i := range statements {
		f := &statements[i].Facts
		n += base
		n += len(f.Objects)*6*header + len(f.Literals)*4*header
		n += (len(f.Columns) + len(f.Filters) + len(f.Assigned) + len(f.Parted) + 2*len(f.Moves)) * 3 * header
		n += len(f.Comparisons) * 8 * header
		for _, l := range [][]string{
			f.Functions, f.Operators, f.Types, f.Attributes, f.ParameterColumns, f.Received, f.Settings, f.Unknown,
		} {
			n += len(l) * 2 * header
		}
		n += len(f.ParameterPositions) * header / 2
	}
	return n
}
