package secrets

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A record is the content of one line of a file.
type record interface {
	key() string  // unique in its file
	line() string // its fields, with a space between them
}

// lines are the lines of a file. An edit of one record leaves all other lines unchanged, byte by byte.
type lines[R record] struct {
	all    []line[R]
	byKey  map[string]R
	format format[R]
}

// A line has a record, a comment, both or neither.
type line[R record] struct {
	text    string // with its line break
	comment string // from its '#', without the line break
	key     string // empty: there is no record
}

// A format parses the records of a file.
type format[R record] struct {
	fields string // the names of the fields, for error texts
	parse  func(fields []string) (R, error)
}

// read parses the text of a file. The error names the line, and contains no secret.
func (f format[R]) read(text string) (*lines[R], error) {
	l := &lines[R]{byKey: map[string]R{}, format: f}
	for text := range strings.Lines(text) {
		if err := l.add(text); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(l.all)+1, err)
		}
	}
	return l, nil
}

// add appends a line.
func (l *lines[R]) add(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("it is not UTF-8")
	}
	content, comment := strings.TrimRight(text, "\r\n"), ""
	if i := strings.IndexByte(content, '#'); i >= 0 {
		content, comment = content[:i], content[i:]
	}
	fields := strings.FieldsFunc(content, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) == 0 {
		l.all = append(l.all, line[R]{text, comment, ""})
		return nil
	}
	if want := strings.Count(l.format.fields, " ") + 1; len(fields) != want {
		return fmt.Errorf("it has %d fields where it should have %d: %s", len(fields), want, l.format.fields)
	}
	r, err := l.format.parse(fields)
	if err != nil {
		return err
	}
	if _, exists := l.byKey[r.key()]; exists {
		return fmt.Errorf("%q is in the file already, in line %d", r.key(), l.find(r.key())+1)
	}
	l.byKey[r.key()] = r
	l.all = append(l.all, line[R]{text, comment, r.key()})
	return nil
}

// find returns the index of the line with a record, or -1.
func (l *lines[R]) find(key string) int {
	for i := range l.all {
		if l.all[i].key == key {
			return i
		}
	}
	return -1
}

// put replaces the record with the same key and keeps its comment, or appends a line.
func (l *lines[R]) put(r R) {
	i := l.find(r.key())
	if i < 0 {
		i = len(l.all)
		if i > 0 && !strings.HasSuffix(l.all[i-1].text, "\n") {
			l.all[i-1].text += "\n"
		}
		l.all = append(l.all, line[R]{key: r.key()})
	}
	text := r.line()
	if comment := l.all[i].comment; comment != "" {
		text += " " + comment
	}
	l.all[i].text = text + "\n"
	l.byKey[r.key()] = r
}

// remove deletes the line of a record, with its comment.
func (l *lines[R]) remove(key string) {
	i := l.find(key)
	l.all = append(l.all[:i], l.all[i+1:]...)
	delete(l.byKey, key)
}

// records returns the records, in the order of their lines.
func (l *lines[R]) records() []R {
	var all []R
	for i := range l.all {
		if r, ok := l.byKey[l.all[i].key]; ok {
			all = append(all, r)
		}
	}
	return all
}

// first returns the first record, or the zero value of R if there is none.
func (l *lines[R]) first() (r R) {
	for i := range l.all {
		if r, ok := l.byKey[l.all[i].key]; ok {
			return r
		}
	}
	return r
}

// text returns the text of the file.
func (l *lines[R]) text() string {
	var b strings.Builder
	for i := range l.all {
		b.WriteString(l.all[i].text)
	}
	return b.String()
}
