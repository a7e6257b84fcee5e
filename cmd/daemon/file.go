package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/rudderpost/rudderpost/internal/trustedpath"

	"github.com/BurntSushi/toml"
)

// maxConfig is the longest configuration file, in bytes.
const maxConfig = 1 << 20

// read reads a TOML file over the defaults. A key that does not exist, or is spelled with other
// letters (which the TOML library would take), is an error with its line and what it may have meant.
func (c *Config) read(file string) error {
	text, err := readConfig(file, c.trust)
	if err != nil {
		return err
	}
	meta, err := toml.Decode(text, c)
	if err != nil {
		return tomlError(file, text, err)
	}
	var errs []error
	var last toml.Key
	for _, key := range meta.Keys() {
		if last != nil && len(key) >= len(last) && slices.Equal(key[:len(last)], last) {
			continue // what is in an unknown table goes without saying
		}
		if known, siblings := knownKey(reflect.TypeFor[Config](), key); !known {
			errs = append(errs, unknownKey(file, text, key, siblings))
			last = key
		}
	}
	return errors.Join(errs...)
}

// readConfig reads the configuration file, if no user but trusted ones could have written it: it names the programs
// that run as hooks.
func readConfig(file string, trust []uint32) (string, error) {
	text, _, err := configRules(trust).ReadFile(file, maxConfig)
	return string(text), err
}

// configRules say which configuration file is read. Any user may read it; it may be a symbolic link.
func configRules(trust []uint32) trustedpath.Rules {
	return trustedpath.Rules{FollowLink: true, TrustOwners: trust}
}

// knownKey reports whether a key path exists in a struct, letter by letter, and what there is beside
// its last known part.
func knownKey(t reflect.Type, key toml.Key) (known bool, siblings []string) {
	for _, part := range key {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() == reflect.Map { // whose keys are not ours
			return true, nil
		}
		if t.Kind() != reflect.Struct {
			return false, nil
		}
		siblings = siblings[:0]
		var next reflect.Type
		for f := range t.Fields() {
			if name := keyOf(f); name != "" {
				siblings = append(siblings, name)
				if name == part {
					next = f.Type
				}
			}
		}
		if next == nil {
			return false, siblings
		}
		t = next
	}
	return true, nil
}

func unknownKey(file, text string, key toml.Key, siblings []string) error {
	where := file
	if line := lineOf(text, key); line > 0 {
		where = fmt.Sprintf("%s:%d", file, line)
	}
	hint := "there are " + strings.Join(siblings, ", ")
	if near := nearest(key[len(key)-1], siblings); near != "" {
		hint = "did you mean " + near + "?"
	}
	return fmt.Errorf("%s: there is no key %q; %s", where, key.String(), hint)
}

// lineOf finds the line on which a key is written, or returns 0.
func lineOf(text string, key toml.Key) int {
	var table []string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = parts(strings.Trim(strings.SplitN(line, "#", 2)[0], "[] \t"))
			if slices.Equal(table, key) {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if ok && slices.Equal(append(slices.Clone(table), parts(name)...), key) {
			return i + 1
		}
	}
	return 0
}

// parts splits a dotted key.
func parts(key string) []string {
	names := strings.Split(key, ".")
	for i, name := range names {
		names[i] = strings.Trim(strings.TrimSpace(name), `"'`)
	}
	return names
}

// nearest returns the name that was most likely meant, or "".
func nearest(name string, names []string) string {
	best, least := "", 1+len(name)/3
	for _, other := range names {
		if d := distance(strings.ToLower(name), other); d <= least {
			best, least = other, d-1
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := left
			if a[i] != b[j] {
				d = 1 + min(left, row[j], row[j+1])
			}
			left, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
