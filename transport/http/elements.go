package http

import (
	"bytes"
	"iter"
)

// elements returns what is in an array, without reading it, or what is no array itself. The text is a
// frame, so that its brackets are closed.
func elements(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !isList(text) {
			yield(text)
			return
		}
		inside := text[1 : len(text)-1]
		start, depth := 0, 0
		for i := 0; i < len(inside); i++ {
			switch inside[i] {
			case '"':
				i = afterString(inside, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			case ',':
				if depth > 0 {
					continue
				}
				if !yield(bytes.TrimSpace(inside[start:i])) {
					return
				}
				start = i + 1
			}
		}
		if last := bytes.TrimSpace(inside[start:]); len(last) > 0 {
			yield(last)
		}
	}
}

// afterString returns the position behind the string that starts at i, or the end.
func afterString(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
