package schema

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Problem is one defect of a value.
type Problem struct {
	Pointer string // its place: a JSON pointer (RFC 6901)
	Text    string // with Kea's text where Kea has one
}

// Check compares a JSON value with s and returns its problems, at most 100; an empty list
// means that the value fits. For a map it lists the missing members first, then the others in the order of their
// names. It may be called from any goroutine.
func (s *Schema) Check(value []byte) []Problem {
	var v any
	var c checker
	err := json.Unmarshal(value, &v)
	if errors.Is(err, strconv.ErrRange) {
		err = json.Unmarshal(value, &v, hugeNumbers)
	}
	if err != nil {
		return []Problem{{"", err.Error()}}
	}
	c.check(s, v, "")
	return c.problems
}

// Exacting reports whether s has a constraint that neither decoding into its Go type nor a search for the required
// members of the outermost map checks. Then a caller must call Check.
func (s *Schema) Exacting() bool {
	for _, member := range s.Properties {
		if member.exacting() {
			return true
		}
	}
	return s.constrained() || s.Items != nil && s.Items.exacting() || s.Values != nil && s.Values.exacting()
}

func (s *Schema) exacting() bool { return len(s.Required) > 0 || s.Exacting() }

func (s *Schema) constrained() bool {
	own := s.unsigned && s.Minimum != nil && *s.Minimum == 0 // that of the Go type
	return len(s.Enum) > 0 || s.Minimum != nil && !own || s.Maximum != nil || s.Pattern != "" ||
		s.MinLength > 0 || s.MaxLength > 0 || s.MinItems > 0 || s.MaxItems > 0
}

// hugeNumbers decodes numbers beyond a float64 as infinities.
var hugeNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
	if d.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	number, err := d.ReadValue()
	if err == nil {
		*v, _ = strconv.ParseFloat(string(number), 64)
	}
	return err
}))

type checker struct{ problems []Problem }

// maxProblems is the number of problems that Check returns at most.
const maxProblems = 100

func (c *checker) report(pointer, format string, args ...any) {
	if len(c.problems) == maxProblems {
		return
	}
	c.problems = append(c.problems, Problem{pointer, fmt.Sprintf(format, args...)})
}

// named returns the name of a member in a text: its pointer without the first slash. The whole value is called
// arguments.
func named(pointer string) string {
	if pointer == "" {
		return "arguments"
	}
	return pointer[1:]
}

var articles = map[string]string{
	"object": "a map", "array": "a list", "string": "a string",
	"integer": "an integer", "number": "a number", "boolean": "a boolean",
}

func (c *checker) check(s *Schema, v any, at string) {
	if v == nil && s.Nullable {
		return
	}
	if s.Type != "" && !isA(s.Type, v) {
		c.report(at, "'%s' parameter expected to be %s.", named(at), articles[s.Type])
		return
	}
	switch v := v.(type) {
	case map[string]any:
		c.members(s, v, at)
	case []any:
		c.length(at, "elements", len(v), s.MinItems, s.MaxItems)
		if s.Items != nil {
			for i, item := range v {
				c.check(s.Items, item, at+"/"+strconv.Itoa(i))
			}
		}
	case string:
		c.length(at, "characters", utf8.RuneCountInString(v), s.MinLength, s.MaxLength)
		if s.Pattern != "" && !pattern(s.Pattern).MatchString(v) {
			c.report(at, "'%s' parameter must match %s.", named(at), s.Pattern)
		}
		c.enum(s, v, at)
	case float64:
		if s.Minimum != nil && v < *s.Minimum {
			c.report(at, "'%s' parameter must be at least %v.", named(at), *s.Minimum)
		}
		if s.Maximum != nil && v > *s.Maximum {
			c.report(at, "'%s' parameter must be at most %v.", named(at), *s.Maximum)
		}
		c.enum(s, strconv.FormatFloat(v, 'f', -1, 64), at)
	}
}

func (c *checker) members(s *Schema, m map[string]any, at string) {
	for _, name := range s.Required {
		if _, ok := m[name]; !ok {
			c.report(at+pointer(name), "Missing mandatory '%s' parameter.", named(at+pointer(name)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		where := at + pointer(name)
		switch member, ok := s.Properties[name]; {
		case ok:
			c.check(member, m[name], where)
		case s.Closed:
			c.report(where, "Unsupported '%s' parameter.", named(where))
		case s.Values != nil:
			c.check(s.Values, m[name], where)
		}
	}
}

func (c *checker) length(at, unit string, n, least, most int) {
	if n < least {
		c.report(at, "'%s' parameter must have at least %d %s.", named(at), least, unit)
	}
	if most > 0 && n > most {
		c.report(at, "'%s' parameter must have at most %d %s.", named(at), most, unit)
	}
}

func (c *checker) enum(s *Schema, text, at string) {
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		c.report(at, "'%s' parameter must be one of '%s'.", named(at), strings.Join(s.Enum, "', '"))
	}
}

func isA(name string, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	}
	return false
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(name string) string { return "/" + escaper.Replace(name) }

var patterns sync.Map // of compiled patterns, by their text

func pattern(text string) *regexp.Regexp {
	if re, ok := patterns.Load(text); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(text) // tag has compiled it once
	patterns.Store(text, re)
	return re
}
