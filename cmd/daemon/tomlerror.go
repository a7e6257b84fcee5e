package main

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// These patterns match texts of the TOML library. If it returns an error without a type, the text has the line and the
// key. The line is missing for a table that has only subtables.
var (
	untypedError  = regexp.MustCompile(`^toml: (?:line (\d+) )?\(last key "([^"]+)"\): (.*)$`)
	wrongType     = regexp.MustCompile(`^incompatible types: TOML value has type (.+); destination has type (.+)$`)
	wantedTable   = regexp.MustCompile(`^type mismatch for \S+: expected table but found `)
	leadingZeroes = regexp.MustCompile(`^Invalid (?:integer|float) "[^"]*": cannot have leading zeroes$`)
	definedTwice  = regexp.MustCompile(`^Key '([^']+)' (?:was already created and cannot be used as an array|has already been defined)\.$`)
)

// tomlError converts an error of the TOML library. It adds the line and the key, and says what to write. text is the
// text of the file.
func tomlError(file, text string, err error) error {
	var line, key, message string
	if parseErr, ok := errors.AsType[toml.ParseError](err); ok {
		line, key, message = strconv.Itoa(parseErr.Position.Line), parseErr.LastKey, parseErr.Message
		if message == "" {
			message = strings.TrimPrefix(parseErr.Error(), "toml: ")
		}
	} else if m := untypedError.FindStringSubmatch(err.Error()); m != nil {
		line, key, message = m[1], m[2], m[3]
	} else {
		return fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "toml: "))
	}
	if m := definedTwice.FindStringSubmatch(message); m != nil && key == "" && isTableList(keyType(m[1])) {
		key = m[1]
		if first := lineOf(text, toml.Key{key}); strings.Contains(message, "as an array") && first > 0 {
			line = strconv.Itoa(first) // at [listen], because the library reports the [[listen]] below it
		}
	}
	if line == "" {
		line = strconv.Itoa(max(1, lineOfSubtable(text, key)))
	}
	where := file + ":" + line
	if key != "" {
		where += ": " + key
	}
	if what := correction(key, message, lineText(text, line)); what != "" {
		message = what
	}
	return fmt.Errorf("%s: %s", where, message)
}

// correction says how to write the value of a key that has the wrong type, or returns "". source is the line with the
// key.
func correction(key, message, source string) string {
	m := wrongType.FindStringSubmatch(message)
	octal, table := leadingZeroes.MatchString(message), wantedTable.MatchString(message)
	name := key[strings.LastIndexByte(key, '.')+1:]
	value := valueOf(source, name)
	switch t := keyType(key); {
	case t == nil:
		return ""
	case isTableList(t) && (m != nil || table || definedTwice.MatchString(message)):
		return fmt.Sprintf("write [[%s]], with two brackets, once for each %s", key, cmp.Or(tableNouns[key], "one"))
	case table:
		return fmt.Sprintf("write [%s], with one bracket, and its keys below it", key)
	case m == nil && !octal:
		return ""
	case name == "mode":
		return fmt.Sprintf("write it as a string, in quotes: mode = %q", modeText(value))
	case t.Kind() == reflect.String && (octal || m[1] == "int64" || m[1] == "float64" || m[1] == "bool") && value != "":
		return fmt.Sprintf("write it as a string, in quotes: %s = %q", name, value)
	case t.Kind() == reflect.String:
		return "write it as a string, in quotes"
	case octal:
		return "write the number without leading zeroes"
	case t.Kind() == reflect.Bool:
		return "write true or false, without quotes"
	case t.Kind() == reflect.Int:
		return "write a whole number, without quotes"
	case t.Kind() == reflect.Slice:
		return fmt.Sprintf("write a list, in brackets: %s = [ … ]", name)
	}
	return ""
}

// tableNouns names the things that the tables [[listen]], [[role]], [[principal]] and [[hook]] define.
var tableNouns = map[string]string{"listen": "listener", "role": "role", "principal": "principal", "hook": "hook"}

// modeText returns a mode in the format of the file, or an example.
func modeText(value string) string {
	digits := strings.TrimLeft(strings.TrimPrefix(value, "0o"), "0")
	if len(digits) == 3 && strings.Trim(digits, "01234567") == "" {
		return "0" + digits
	}
	return "0660"
}

// keyType returns the type of a key of the file, such as listen.mode, or nil if there is no such key.
func keyType(key string) reflect.Type {
	t := reflect.TypeFor[Config]()
	for _, part := range splitKey(key) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return nil
		}
		var next reflect.Type
		for f := range t.Fields() {
			if name := keyOf(f); name != "" && name == part {
				next = f.Type
			}
		}
		if next == nil {
			return nil
		}
		t = next
	}
	return t
}

// isTableList reports whether a key of type t is a list of tables, [[key]].
func isTableList(t reflect.Type) bool {
	if t == nil || t.Kind() != reflect.Slice {
		return false
	}
	t = t.Elem()
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// lineText returns a line of the file, or "".
func lineText(text, line string) string {
	n, err := strconv.Atoi(line)
	if lines := strings.Split(text, "\n"); err == nil && n >= 1 && n <= len(lines) {
		return lines[n-1]
	}
	return ""
}

// lineOfSubtable returns the line of the first table below a key, such as [listen.unix], or 0.
func lineOfSubtable(text, key string) int {
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.Trim(line, "[ \t"), key+".") {
			return i + 1
		}
	}
	return 0
}

// valueOf returns the number or word that a line assigns to a name, or "".
func valueOf(line, name string) string {
	m := regexp.MustCompile(`(?:^|[\s{,."'])` + regexp.QuoteMeta(name) + `["']?\s*=\s*([\w.+-]+)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return m[1]
}
