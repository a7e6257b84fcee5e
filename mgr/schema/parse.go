package schema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Parse reads a JSON Schema from outside. It accepts the keywords that MarshalJSON writes, and no others: a
// keyword, a type or a value that Check would not check is an error that names it, so that the author of the schema
// does not rely on it. Patterns are RE2's. A name of a member or a value of an enum that has a
// character that cannot be printed is an error too.
func Parse(text []byte) (*Schema, error) { return parse(text, "") }

// keywords has the function that reads the value of each keyword into a Schema. The type is read first (inOrder).
var keywords map[string]func(s *Schema, v jsontext.Value, at string) error

func init() { // its functions call parse, which uses it
	keywords = map[string]func(*Schema, jsontext.Value, string) error{
		"type":                 func(s *Schema, v jsontext.Value, _ string) error { return s.parseType(v) },
		"description":          func(s *Schema, v jsontext.Value, _ string) error { return json.Unmarshal(v, &s.Description) },
		"properties":           func(s *Schema, v jsontext.Value, at string) error { return s.parseProperties(v, at) },
		"required":             func(s *Schema, v jsontext.Value, _ string) error { return json.Unmarshal(v, &s.Required) },
		"additionalProperties": func(s *Schema, v jsontext.Value, at string) error { return s.parseAdditional(v, at) },
		"items": func(s *Schema, v jsontext.Value, at string) (err error) {
			s.Items, err = parse(v, at)
			return err
		},
		"enum":      func(s *Schema, v jsontext.Value, _ string) error { return s.parseEnum(v) },
		"minimum":   func(s *Schema, v jsontext.Value, _ string) error { return bound(&s.Minimum, v) },
		"maximum":   func(s *Schema, v jsontext.Value, _ string) error { return bound(&s.Maximum, v) },
		"minLength": func(s *Schema, v jsontext.Value, _ string) error { return count(&s.MinLength, v, 0) },
		"maxLength": func(s *Schema, v jsontext.Value, _ string) error { return count(&s.MaxLength, v, 1) },
		"minItems":  func(s *Schema, v jsontext.Value, _ string) error { return count(&s.MinItems, v, 0) },
		"maxItems":  func(s *Schema, v jsontext.Value, _ string) error { return count(&s.MaxItems, v, 1) },
		"pattern": func(s *Schema, v jsontext.Value, _ string) error {
			err := json.Unmarshal(v, &s.Pattern)
			if err == nil {
				_, err = regexp.Compile(s.Pattern)
			}
			return err
		},
		"format":    func(s *Schema, v jsontext.Value, _ string) error { return json.Unmarshal(v, &s.Format) },
		"examples":  func(s *Schema, v jsontext.Value, _ string) error { return json.Unmarshal(v, &s.Examples) },
		"writeOnly": func(s *Schema, v jsontext.Value, _ string) error { return json.Unmarshal(v, &s.Secret) },
	}
}

// maxDepth is the greatest depth of a schema, in names of a pointer. Each level is decoded once more than the one
// around it, so that the time grows with the depth.
const maxDepth = 64

func parse(text jsontext.Value, at string) (*Schema, error) {
	if strings.Count(at, "/") > maxDepth {
		return nil, problem(at[:maxDepth]+"…", "it is nested too deeply")
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return nil, problem(at, "a schema is a map")
	}
	s := &Schema{}
	for _, name := range inOrder(members) {
		read, ok := keywords[name]
		if !ok {
			return nil, problem(at, "the keyword '"+name+"' is not supported")
		}
		if err := read(s, members[name], at+pointer(name)); err != nil {
			if _, placed := errors.AsType[*placedError](err); placed {
				return nil, err
			}
			return nil, problem(at+pointer(name), err.Error())
		}
	}
	return s, nil
}

// inOrder returns the names with the type first, since other keywords depend on it.
func inOrder(members map[string]jsontext.Value) []string {
	names := slices.Sorted(maps.Keys(members))
	if i := slices.Index(names, "type"); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, "type")
	}
	return names
}

// A placedError is an error with its place in a schema.
type placedError struct{ at, text string }

func (e *placedError) Error() string { return fmt.Sprintf("schema, at '%s': %s", e.at, e.text) }

func problem(at, text string) error { return &placedError{at, text} }

func (s *Schema) parseType(v jsontext.Value) error {
	var names []string
	if v.Kind() == '"' {
		names = []string{""}
		_ = json.Unmarshal(v, &names[0])
	} else if err := json.Unmarshal(v, &names); err != nil {
		return errors.New("a type is a name, or a list of one and \"null\"")
	}
	if len(names) == 2 && names[1] == "null" {
		s.Nullable, names = true, names[:1]
	}
	if len(names) != 1 || articles[names[0]] == "" {
		return errors.New("it is one of object, array, string, integer, number, boolean, and may be that or \"null\"")
	}
	s.Type = names[0]
	return nil
}

func (s *Schema) parseProperties(v jsontext.Value, at string) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(v, &members); err != nil {
		return err
	}
	s.Properties = map[string]*Schema{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if strings.ContainsFunc(name, unprintable) {
			return problem(at, fmt.Sprintf("the name %+q has a character that cannot be printed", name))
		}
		member, err := parse(members[name], at+pointer(name))
		if err != nil {
			return err
		}
		s.Properties[name] = member
	}
	return nil
}

func (s *Schema) parseAdditional(v jsontext.Value, at string) (err error) {
	switch v.Kind() {
	case 't':
	case 'f':
		s.Closed = true
	default:
		s.Values, err = parse(v, at)
	}
	return err
}

func (s *Schema) parseEnum(v jsontext.Value) error {
	var values []jsontext.Value
	if err := json.Unmarshal(v, &values); err != nil {
		return err
	}
	if len(values) == 0 || s.Type != "string" && s.Type != "integer" && s.Type != "number" {
		return errors.New("it is a list of strings or numbers, as the type beside it says")
	}
	for _, value := range values {
		if text := (value.Kind() == '"'); text != (s.Type == "string") || !text && value.Kind() != '0' {
			return fmt.Errorf("%s is not of the type %s", value, s.Type)
		}
		if s.Type == "string" {
			var text string
			_ = json.Unmarshal(value, &text)
			if strings.ContainsFunc(text, unprintable) {
				return fmt.Errorf("%+q has a character that cannot be printed", text)
			}
			s.Enum = append(s.Enum, text)
			continue
		}
		n, err := number(string(value))
		if err != nil {
			return err
		}
		s.Enum = append(s.Enum, strconv.FormatFloat(*n, 'f', -1, 64)) // as Check writes it
	}
	return nil
}

// unprintable reports a character that no name and no value of an enum has: a control character, or one that
// changes how the text around it is shown. Names and values reach terminals, shells and pages.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func bound(to **float64, v jsontext.Value) (err error) {
	if v.Kind() != '0' {
		return errors.New("it is a number")
	}
	*to, err = number(string(v))
	return err
}

// count reads a bound of a length. A Schema cannot express a maximum of 0, so least is 1 for a maximum.
func count(to *int, v jsontext.Value, least int) error {
	if err := json.Unmarshal(v, to); err != nil || *to < least {
		return fmt.Errorf("it is an integer of at least %d", least)
	}
	return nil
}
