package wire

import (
	"bytes"
	"slices"
	"sync"
)

// AppendKea appends well-formed JSON in the spelling of Kea's programs: Kea's white space, and the members of each map in
// the order of their names, as a std::map<std::string, …> has them (by the bytes of the decoded name). Numbers, strings
// and names stay as they are: `{"b":[],"a":1}` becomes `{ "a": 1, "b": [  ] }`. text must be well-formed, without
// duplicate names, and shorter than 4 GiB, as a frame that AppendReply wrote is; for other text the result is
// undefined, or AppendKea panics. It does not write to text, and text must not overlap the free part of dst.
//
// AppendKea takes time in proportion to the length of text, times its depth where maps are out of order.
func AppendKea(dst, text []byte) []byte {
	s := spellers.Get().(*speller)
	dst = s.spell(dst, text)
	if cap(s.copy) <= maxScratch && cap(s.members) <= maxScratch/16 {
		spellers.Put(s)
	}
	return dst
}

// AppendKeaParts is AppendKea for a reply in parts (AppendParts) whose arguments keep their spelling. head and tail are
// what AppendParts returned for a reply without an ID. It appends to dst the text before the arguments, and returns
// the text behind them.
func AppendKeaParts(dst, head []byte, tail string) (before []byte, behind string) {
	const opening = `{ "arguments": ` // Kea's first member: no other member of a reply has a lesser name
	envelope := AppendKea(nil, slices.Concat(head, null, []byte(tail)))
	return append(dst, opening...), string(envelope[len(opening)+len(null):])
}

// A speller is the scratch memory of one AppendKea.
type speller struct {
	levels  []int    // for each open map, the index of its first member in members; for each open list, inList
	members []member // of all open maps
	copy    []byte   // of the members of a map while they are put in order
	names   [2][]byte
}

const inList = -1

// A member is one member of an open map. Positions count from the first byte that AppendKea appended.
type member struct {
	start, end uint32 // from the quote of the name to the byte behind the value
	name       uint32 // the length of the name, in bytes, with its escapes
	escaped    bool   // there are escapes in the name
}

var spellers = sync.Pool{New: func() any { return new(speller) }}

func (s *speller) spell(dst, text []byte) []byte {
	s.levels, s.members = s.levels[:0], s.members[:0]
	base := len(dst)
	isName := false // the next string is the name of a member
	for i := 0; i < len(text); {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '{', '[':
			dst = append(dst, c, ' ')
			i++
			level := inList
			if isName = c == '{'; isName {
				level = len(s.members)
			}
			s.levels = append(s.levels, level)
		case '}', ']':
			if last := len(s.levels) - 1; last >= 0 {
				if first := s.levels[last]; first != inList && len(s.members) > first {
					s.endMember(dst[base:])
					s.order(dst[base:], s.members[first:])
					s.members = s.members[:first]
				}
				s.levels = s.levels[:last]
			}
			dst = append(dst, ' ', c)
			i++
			isName = false
		case ',':
			if last := len(s.levels) - 1; last >= 0 && s.levels[last] != inList {
				s.endMember(dst[base:])
				isName = true
			}
			dst = append(dst, ',', ' ')
			i++
		case ':':
			dst = append(dst, ':', ' ')
			i++
		case '"':
			n := stringLength(text[i:])
			if isName {
				isName = false
				name := text[i+1 : i+n-1]
				s.members = append(s.members, member{
					start: uint32(len(dst) - base), name: uint32(len(name)), escaped: bytes.IndexByte(name, '\\') >= 0,
				})
			}
			dst = append(dst, text[i:i+n]...)
			i += n
		default: // a number or a word
			n := i + 1
			for n < len(text) && !delimiter[text[n]] {
				n++
			}
			dst = append(dst, text[i:n]...)
			i = n
		}
	}
	return dst
}

// delimiter is true for the bytes that end a number or a word.
var delimiter = [256]bool{' ': true, '\t': true, '\n': true, '\r': true, ',': true, '}': true, ']': true}

// endMember sets the end of the newest member.
func (s *speller) endMember(text []byte) { s.members[len(s.members)-1].end = uint32(len(text)) }

// order puts the members of a map in order. They are the end of text, with ", " between them.
func (s *speller) order(text []byte, members []member) {
	compare := func(a, b member) int { return s.compare(text, a, b) }
	if slices.IsSortedFunc(members, compare) {
		return
	}
	start := members[0].start
	s.copy = append(s.copy[:0], text[start:]...)
	slices.SortFunc(members, compare) // which reads the names in text
	text = text[:start]
	for i, m := range members {
		if i > 0 {
			text = append(text, ',', ' ')
		}
		text = append(text, s.copy[m.start-start:m.end-start]...)
	}
}

// compare compares the decoded names of two members.
func (s *speller) compare(text []byte, a, b member) int {
	return bytes.Compare(s.nameOf(0, text, a), s.nameOf(1, text, b))
}

func (s *speller) nameOf(which int, text []byte, m member) []byte {
	name := text[m.start+1 : m.start+1+m.name]
	if !m.escaped {
		return name
	}
	s.names[which] = appendUnescaped(s.names[which][:0], name)
	return s.names[which]
}
