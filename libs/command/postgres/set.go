package postgres

import "slices"

// set is a list without duplicates, in the order in which they came. Texts are
// an attacker's, so that looking for a duplicate must not cost the whole list.
type set[T comparable] struct {
	list  []T
	index map[T]struct{}
}

// small is how many entries are compared one by one.
const small = 16

func (s *set[T]) add(v T) {
	if s.index == nil {
		if slices.Contains(s.list, v) {
			return
		}
		if len(s.list) < small {
			s.list = append(s.list, v)
			return
		}
		s.index = make(map[T]struct{}, 4*small)
		for _, o := range s.list {
			s.index[o] = struct{}{}
		}
	}
	if _, ok := s.index[v]; !ok {
		s.index[v] = struct{}{}
		s.list = append(s.list, v)
	}
}
