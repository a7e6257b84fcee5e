package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/go-json-experiment/json"
)

// A Size is a number of bytes, written as a number or with a unit: 65536, "64KiB", "16MiB".
type Size int64

var units = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalTOML implements toml.Unmarshaler.
func (s *Size) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case int64:
		*s = Size(v)
		return nil
	case string:
		for _, unit := range units {
			if digits, ok := strings.CutSuffix(v, unit.name); ok {
				n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
				if err != nil || n > (1<<62)/unit.bytes {
					break
				}
				*s = Size(n * unit.bytes)
				return nil
			}
		}
	}
	return fmt.Errorf("%v is not a size such as 65536, \"64KiB\" or \"16MiB\"", quoted(v))
}

// String returns the size with the largest unit that divides it.
func (s Size) String() string {
	for _, unit := range units {
		if unit.bytes > 1 && s != 0 && int64(s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(s)/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Duration is written in Go's format: "10s", "5m".
type Duration time.Duration

// UnmarshalJSON implements json.Unmarshaler. Over the channel a size is written as in the file.
func (s *Size) UnmarshalJSON(text []byte) error { return unmarshal(text, s) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(text []byte) error { return unmarshal(text, d) }

// unmarshal decodes JSON as if it were TOML.
func unmarshal(text []byte, into toml.Unmarshaler) error {
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return into.UnmarshalTOML(n)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	return into.UnmarshalTOML(v)
}

// UnmarshalTOML implements toml.Unmarshaler.
func (d *Duration) UnmarshalTOML(v any) error {
	if text, ok := v.(string); ok {
		parsed, err := time.ParseDuration(text)
		if err == nil {
			*d = Duration(parsed)
			return nil
		}
	}
	return fmt.Errorf("%v is not a duration such as \"10s\" or \"5m\"", quoted(v))
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func quoted(v any) string {
	if text, ok := v.(string); ok {
		return strconv.Quote(text)
	}
	return fmt.Sprint(v)
}
