package main

import (
	"errors"
	"os"
	"strings"
)

// splitLine splits a command line of bash, up to the cursor, into words without their quotes. The last word, which may
// be empty, is returned as it was typed. Assignments before the program's name are left out.
//
// splitLine handles blanks, the three kinds of quotes, ~/ at the start of a word, and environment variables. ok is
// false if the line has a substitution, a redirection, an operator or another construct that bash evaluates.
func splitLine(line string) (words []string, last string, ok bool) {
	s := lineSplitter{rest: line}
	for {
		s.rest = strings.TrimLeft(s.rest, " \t")
		start := s.rest
		word, err := s.word()
		switch {
		case errors.Is(err, errOpenQuote) || err == nil && s.rest == "":
			return words, start, true
		case err != nil:
			return nil, "", false
		}
		if len(words) > 0 || !assignmentPattern.MatchString(word) {
			words = append(words, word)
		}
	}
}

// A lineSplitter reads words from the start of rest.
type lineSplitter struct{ rest string }

type splitLineError string

func (e splitLineError) Error() string { return string(e) }

const (
	errOpenQuote  = splitLineError("the line ends inside quotes")
	errNeedsShell = splitLineError("only bash can evaluate it")
)

// word reads one word, up to the next blank or the end.
func (s *lineSplitter) word() (string, error) {
	var b strings.Builder
	if strings.HasPrefix(s.rest, "~/") {
		b.WriteString(os.Getenv("HOME"))
		s.rest = s.rest[1:]
	}
	if strings.HasPrefix(s.rest, "#") {
		return "", errNeedsShell
	}
	for s.rest != "" {
		c := s.rest[0]
		switch c {
		case ' ', '\t':
			return b.String(), nil
		case '\n', ';', '|', '&', '<', '>', '(', ')', '`':
			return "", errNeedsShell
		case '\'':
			quoted, rest, ended := strings.Cut(s.rest[1:], "'")
			if !ended {
				return "", errOpenQuote
			}
			b.WriteString(quoted)
			s.rest = rest
		case '"':
			s.rest = s.rest[1:]
			if err := s.doubleQuoted(&b); err != nil {
				return "", err
			}
		case '\\':
			if len(s.rest) == 1 {
				return "", errOpenQuote
			}
			if s.rest[1] == '\n' {
				return "", errNeedsShell
			}
			b.WriteByte(s.rest[1])
			s.rest = s.rest[2:]
		case '$':
			if err := s.variable(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			s.rest = s.rest[1:]
		}
	}
	return b.String(), nil
}

// doubleQuoted reads up to and including the closing quote.
func (s *lineSplitter) doubleQuoted(b *strings.Builder) error {
	for s.rest != "" {
		switch c := s.rest[0]; {
		case c == '"':
			s.rest = s.rest[1:]
			return nil
		case c == '`':
			return errNeedsShell
		case c == '$':
			if err := s.variable(b); err != nil {
				return err
			}
		case c == '\\' && len(s.rest) > 1 && strings.IndexByte("\"\\$`", s.rest[1]) >= 0:
			b.WriteByte(s.rest[1])
			s.rest = s.rest[2:]
		default:
			b.WriteByte(c)
			s.rest = s.rest[1:]
		}
	}
	return errOpenQuote
}

// variable reads $ with the name of an environment variable, and appends its value. A $ before a blank, a quote or one
// of /.:,%+=@ is appended unchanged.
func (s *lineSplitter) variable(b *strings.Builder) error {
	if name := variableAtStart.FindString(s.rest); name != "" {
		b.WriteString(os.Getenv(strings.Trim(name, "${}")))
		s.rest = s.rest[len(name):]
		return nil
	}
	if len(s.rest) > 1 && strings.IndexByte(" \t\"/.:,%+=@", s.rest[1]) < 0 {
		return errNeedsShell
	}
	b.WriteByte('$')
	s.rest = s.rest[1:]
	return nil
}
