package access

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/rudderpost/rudderpost/mgr"
)

// An entry is one line of what a role allows or denies: a level, or the names of commands.
type entry struct {
	text  string
	level mgr.Level // 0: text is a name or a glob
}

// parseEntry reads a level, a name or a glob.
func parseEntry(text string) (entry, error) {
	if level, ok := levels[text]; ok {
		return entry{text, level}, nil
	}
	return entry{text: text}, checkGlob(text)
}

func parseEntries(what string, texts []string) ([]entry, error) {
	var all []entry
	for i, text := range texts {
		e, err := parseEntry(text)
		if err != nil {
			return nil, fmt.Errorf("%s %d, %q: %w", what, i+1, text, err)
		}
		all = append(all, e)
	}
	return all, nil
}

var levels = map[string]mgr.Level{"read": mgr.Read, "write": mgr.Write, "admin": mgr.Admin}

// matches reports whether the entry is about a command. plain says that the name is one that a glob can
// be about.
func (e entry) matches(name string, level mgr.Level, plain bool) bool {
	if e.level != 0 {
		return e.level == level
	}
	return plain && matchesGlob(e.text, name)
}

// commandName is what mgr takes for one.
var commandName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// checkGlob refuses what could match no command.
func checkGlob(text string) error {
	lower := strings.ToLower(text)
	switch {
	case text == "":
		return errors.New("it is empty; write a level (read, write, admin), a command, or commands with *, such as zone-*")
	case text != lower && strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-*") == "":
		return fmt.Errorf("levels and commands are in lower case: %q", lower)
	case len(text) > maxName:
		return fmt.Errorf("it is too long: no command has more than %d bytes", maxName)
	}
	for _, r := range text {
		if r != '*' && (r >= 0x80 || !isNameByte(byte(r))) {
			return fmt.Errorf("%q is in the name of no command: there are a-z, 0-9 and -, and * for any of them", r)
		}
	}
	switch {
	case strings.Contains(text, "**"):
		return errors.New("one * is as good as two")
	case !strings.Contains(text, "*") && !commandName.MatchString(text):
		return errors.New("no command has such a name: they are words of a-z and 0-9 with one - between them, and begin with a letter")
	}
	return nil
}
