package main

import (
	"context"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

// Completion inserts strings of the daemon into the command line of an interactive shell, and the daemon may be
// hostile. Every string is therefore checked here, for all shells and scripts. Decision 65 has the reasons.

// The strings that completion accepts. None of them has a character that a shell treats as code, expands, or needs
// quotes for. All other strings are left out.
var (
	safeCommand  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`) // the grammar of package mgr
	safeProperty = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	safeValue    = regexp.MustCompile(`^[A-Za-z0-9_./:@+,-]+$`)
)

// Bounds on the strings that completion takes from a daemon.
const (
	maxCandidates   = 2000 // command names, or arguments of one command
	maxCandidateLen = 128  // bytes
	maxDescription  = 200  // characters
)

// complete implements cobra's ValidArgsFunction. It asks the daemon for the command names, or for the arguments of the
// command that args names. It blocks for at most 1 s. It returns nothing if the daemon does not answer.
func (o *options) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	dialer, _, err := o.dialer(ctx, strings.NewReader(""), io.Discard)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) == 0 {
		return commandNames(ctx, dialer), cobra.ShellCompDirectiveNoFileComp
	}
	return propertyNames(ctx, dialer, args), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// ask sends one command, and decodes the arguments of the reply into out. It opens a conn for this command, so it works
// with every daemon and transport.
func ask(ctx context.Context, dialer transport.Dialer, out any, command string, arguments any) error {
	value, err := client.Arguments(arguments)
	if err != nil {
		return err
	}
	reply, err := client.Do(ctx, dialer, wire.Request{Command: command, Arguments: value})
	if err == nil {
		err = reply.Err()
	}
	if err == nil {
		err = reply.Decode(out)
	}
	return err
}

// commandNames returns the names that list-commands returns, without the unsafe ones.
func commandNames(ctx context.Context, dialer transport.Dialer) []string {
	var names []string
	_ = ask(ctx, dialer, &names, "list-commands", nil)
	names = slices.DeleteFunc(names, func(name string) bool {
		return len(name) > maxCandidateLen || !safeCommand.MatchString(name)
	})
	return sortUnique(names)
}

// propertyNames returns the arguments of a command that args does not have yet, as NAME=. A tab separates an argument
// from its description.
func propertyNames(ctx context.Context, dialer transport.Dialer, args []string) []string {
	if !safeCommand.MatchString(args[0]) {
		return nil
	}
	var description struct {
		Arguments struct {
			Properties map[string]jsontext.Value `json:"properties"`
		} `json:"arguments"`
	}
	if ask(ctx, dialer, &description, "describe-command", map[string]string{"command": args[0]}) != nil {
		return nil
	}
	var candidates []string
	for _, name := range slices.Sorted(maps.Keys(description.Arguments.Properties)) {
		given := slices.ContainsFunc(args[1:], func(arg string) bool { return strings.HasPrefix(arg, name+"=") })
		if given || len(name) > maxCandidateLen || !safeProperty.MatchString(name) {
			continue
		}
		candidates = append(candidates, propertyCandidates(name, description.Arguments.Properties[name])...)
	}
	return sortUnique(candidates)
}

// propertyCandidates returns NAME= for a property, or one NAME=VALUE for each value of its enum. A description or an
// enum of an unexpected type counts as missing.
func propertyCandidates(name string, schema jsontext.Value) []string {
	var property struct {
		Description jsontext.Value `json:"description"`
		Enum        jsontext.Value `json:"enum"`
	}
	_ = json.Unmarshal(schema, &property)
	var description string
	_ = json.Unmarshal(property.Description, &description)
	description = "\t" + printableLine(description)
	var values []jsontext.Value
	_ = json.Unmarshal(property.Enum, &values)
	if len(values) == 0 {
		return []string{name + "=" + description}
	}
	var candidates []string
	for _, value := range values {
		text := value.String()
		if value.Kind() == '"' {
			_ = json.Unmarshal(value, &text)
		}
		if len(text) <= maxCandidateLen && safeValue.MatchString(text) {
			candidates = append(candidates, name+"="+text+description)
		}
	}
	return candidates
}

// sortUnique sorts candidates, and removes those with the same text before the tab as an earlier one. A shell that gets
// one candidate twice inserts it as the only match, together with its description.
func sortUnique(candidates []string) []string {
	slices.SortStableFunc(candidates, func(a, b string) int { return strings.Compare(textBeforeTab(a), textBeforeTab(b)) })
	candidates = slices.CompactFunc(candidates, func(a, b string) bool { return textBeforeTab(a) == textBeforeTab(b) })
	return candidates[:min(len(candidates), maxCandidates)]
}

func textBeforeTab(candidate string) string {
	text, _, _ := strings.Cut(candidate, "\t")
	return text
}

// printableLine returns a description as one line of at most maxDescription printable characters. Each run of other
// characters becomes one space.
func printableLine(text string) string {
	var b strings.Builder
	n := 0
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
		if n > 0 {
			word = " " + word
		}
		for _, r := range word {
			if n == maxDescription {
				return b.String() + "…"
			}
			b.WriteRune(r)
			n++
		}
	}
	return b.String()
}
