package postgres

import (
	"container/list"
	"hash/maphash"
	"strings"
	"sync"
)

// Cache remembers what Parse read, by the exact text, bounded in bytes: what
// was not asked for longest goes first. Safe for concurrent use.
type Cache struct {
	seed   maphash.Seed
	shards [16]shard
	// heavy lets one long text be parsed at a time: its tree takes some hundred
	// times its memory.
	heavy chan struct{}
}

type shard struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	recent  *list.List // front is the newest
	bytes   int
	limit   int
}

type entry struct {
	text       string
	statements []Statement
	bytes      int
}

// heavyText is the length from which a text waits for its turn.
const heavyText = 64 << 10

// NewCache returns a cache that holds about maxBytes at most.
func NewCache(maxBytes int) *Cache {
	c := &Cache{seed: maphash.MakeSeed(), heavy: make(chan struct{}, 1)}
	for i := range c.shards {
		c.shards[i] = shard{entries: map[string]*list.Element{}, recent: list.New(), limit: maxBytes / len(c.shards)}
	}
	return c
}

// Parse is like the function of that name. The statements are shared: do not
// change them. Errors are not remembered.
func (c *Cache) Parse(sql string) ([]Statement, error) {
	s := &c.shards[maphash.String(c.seed, sql)%uint64(len(c.shards))]
	if st, ok := s.get(sql); ok {
		return st, nil
	}
	if len(sql) >= heavyText && len(sql) <= MaxText {
		c.heavy <- struct{}{}
		defer func() { <-c.heavy }()
	}
	text := strings.Clone(sql) // the caller's may be part of a larger buffer
	st, err := Parse(text)
	if err != nil {
		return nil, err
	}
	s.put(&entry{text: text, statements: st, bytes: size(text, st)})
	return st, nil
}

func (s *shard) get(text string) ([]Statement, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	el, ok := s.entries[text]
	if !ok {
		return nil, false
	}
	s.recent.MoveToFront(el)
	return el.Value.(*entry).statements, true //nolint:forcetypeassert // only entries are in it
}

func (s *shard) put(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[e.text]; ok || e.bytes > s.limit {
		return
	}
	s.entries[e.text] = s.recent.PushFront(e)
	s.bytes += e.bytes
	for s.bytes > s.limit {
		oldest := s.recent.Back()
		old := s.recent.Remove(oldest).(*entry) //nolint:forcetypeassert // only entries are in it
		delete(s.entries, old.text)
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
