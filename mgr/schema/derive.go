package schema

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Of returns the schema of the Go type t. The error names the field that cannot be described.
func Of(t reflect.Type) (*Schema, error) { return derive(t, nil) }

var (
	schemerType      = reflect.TypeFor[Schemer]()
	marshalerType    = reflect.TypeFor[json.Marshaler]()
	marshalerToType  = reflect.TypeFor[json.MarshalerTo]()
	textMarshalType  = reflect.TypeFor[encoding.TextMarshaler]()
	textAppenderType = reflect.TypeFor[encoding.TextAppender]()
	timeType         = reflect.TypeFor[time.Time]()
	durationType     = reflect.TypeFor[time.Duration]()
)

func derive(t reflect.Type, within []reflect.Type) (*Schema, error) {
	if slices.Contains(within, t) {
		return &Schema{Description: "A " + t.Name() + " again."}, nil
	}
	if s, err, ok := special(t); ok {
		return s, err
	}
	switch t.Kind() {
	case reflect.Bool:
		return &Schema{Type: "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &Schema{Type: "integer"}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return &Schema{Type: "integer", Minimum: new(float64), unsigned: true}, nil
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number"}, nil
	case reflect.String:
		return &Schema{Type: "string"}, nil
	case reflect.Interface:
		return &Schema{}, nil
	case reflect.Pointer:
		s, err := derive(t.Elem(), within)
		if err == nil {
			s.Nullable = true
		}
		return s, err
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return &Schema{Type: "string", Format: "base64"}, nil
		}
		items, err := derive(t.Elem(), append(within, t))
		s := &Schema{Type: "array", Items: items}
		if t.Kind() == reflect.Array {
			s.MinItems, s.MaxItems = t.Len(), t.Len()
		}
		return s, err
	case reflect.Map:
		values, err := derive(t.Elem(), append(within, t))
		return &Schema{Type: "object", Values: values}, err
	case reflect.Struct:
		s := &Schema{Type: "object", Closed: true, Properties: map[string]*Schema{}}
		return s, s.fields(t, append(within, t))
	}
	return nil, fmt.Errorf("the type %s has no JSON form", t)
}

// special returns the schema of a type whose JSON form differs from its Go form; ok is false for other types.
func special(t reflect.Type) (*Schema, error, bool) {
	p := reflect.PointerTo(t)
	switch {
	case t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer && t.Implements(schemerType):
		s := *reflect.Zero(t).Interface().(Schemer).JSONSchema() // a copy, since tags change it
		return &s, nil, true
	case t == timeType:
		return &Schema{Type: "string", Format: "date-time"}, nil, true
	case t == durationType:
		return nil, errors.New("a time.Duration has no JSON form of its own; use a number of seconds"), true
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer:
		return nil, nil, false
	case p.Implements(marshalerToType) || p.Implements(marshalerType):
		return &Schema{}, nil, true
	case p.Implements(textAppenderType) || p.Implements(textMarshalType):
		return &Schema{Type: "string"}, nil, true
	}
	return nil, nil, false
}

// fields adds the JSON fields of a struct.
func (s *Schema) fields(t reflect.Type, within []reflect.Type) error {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" && options == "":
			continue
		case f.Anonymous && name == "":
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			if embedded.Kind() == reflect.Struct {
				if err := s.fields(embedded, within); err != nil {
					return err
				}
				continue
			}
		case !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		if hasOption(options, "string") {
			return fmt.Errorf("field %s: the option string of its tag json is not supported", f.Name)
		}
		member, err := derive(f.Type, within)
		if err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
		if err := member.tags(f.Tag); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
		s.Properties[name] = member
		optional := f.Type.Kind() == reflect.Pointer || hasOption(options, "omitempty") || hasOption(options, "omitzero")
		if !optional {
			s.Required = append(s.Required, name)
		}
	}
	return nil
}

func hasOption(options, name string) bool {
	return slices.Contains(strings.Split(options, ","), name)
}

// tags applies the tags doc and schema.
func (s *Schema) tags(tag reflect.StructTag) error {
	if doc := tag.Get("doc"); doc != "" {
		s.Description = doc
	}
	for rest := tag.Get("schema"); rest != ""; {
		var entry string
		if strings.HasPrefix(rest, "pattern=") {
			entry, rest = rest, ""
		} else {
			entry, rest, _ = strings.Cut(rest, ",")
		}
		key, value, _ := strings.Cut(entry, "=")
		if err := s.tag(key, value); err != nil {
			return fmt.Errorf("tag schema, entry %q: %w", entry, err)
		}
	}
	return nil
}

// typesOf has the types that an entry of the tag schema is for. An entry that is missing here is for all types.
var typesOf = map[string]string{
	"min": "integer number", "max": "integer number",
	"minlen": "string array", "maxlen": "string array",
	"enum": "string integer number", "pattern": "string",
}

func (s *Schema) tag(key, value string) error {
	if types, ok := typesOf[key]; ok && s.Type != "" && !slices.Contains(strings.Fields(types), s.Type) {
		return fmt.Errorf("it is not for values of type %s", s.Type)
	}
	var err error
	list := s.Type == "array"
	switch key {
	case "min":
		s.Minimum, err = number(value)
	case "max":
		s.Maximum, err = number(value)
	case "minlen":
		if list {
			s.MinItems, err = strconv.Atoi(value)
		} else {
			s.MinLength, err = strconv.Atoi(value)
		}
	case "maxlen":
		if list {
			s.MaxItems, err = strconv.Atoi(value)
		} else {
			s.MaxLength, err = strconv.Atoi(value)
		}
	case "enum":
		s.Enum = strings.Split(value, "|")
		if s.Type == "integer" || s.Type == "number" {
			for _, text := range s.Enum {
				if _, err := number(text); err != nil {
					return err
				}
			}
		}
	case "pattern":
		s.Pattern = value
		_, err = regexp.Compile(value)
	case "format":
		s.Format = value
	case "example":
		s.Examples = append(s.Examples, value)
	case "secret":
		s.Secret = true
	default:
		err = errors.New("there is no such entry; there are min, max, minlen, maxlen, enum, pattern, format, example and secret")
	}
	return err
}

func number(text string) (*float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	return &n, err
}
