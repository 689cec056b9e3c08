package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// ConfigCmd prints the settings of serve: what the flags given here and the environment make of them.
type ConfigCmd struct {
	Settings
	JSON bool `help:"As JSON objects, one per line."`
}

// setting is one line of the output.
type setting struct {
	Flag    string `json:"flag"`
	Env     string `json:"env"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Help    string `json:"help"`
}

// Run implements the command.
func (c *ConfigCmd) Run(k *kong.Context, io console) error {
	out := tabwriter.NewWriter(io.out, 0, 8, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(out, "FLAG\tVALUE\tDEFAULT\tENVIRONMENT\t")
	}
	enc := json.NewEncoder(io.out)
	for _, s := range settingsOf(k) {
		if c.JSON {
			if err := enc.Encode(s); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t\n", s.Flag, s.Value, s.Default, s.Env)
	}
	return out.Flush()
}

// settingsOf returns the settings of the command that was chosen, without what is secret in them.
func settingsOf(k *kong.Context) (all []setting) {
	for _, f := range k.Selected().Flags {
		if len(f.Envs) > 0 { // else it is of the command alone, such as --json
			all = append(all, setting{Flag: "--" + f.Name, Env: strings.Join(f.Envs, ", "), Value: show(f.Target), Default: f.Default, Help: f.Help})
		}
	}
	return all
}

// show prints a value as it could be given. What a database URL may hold of secrets is left out.
func show(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case []string:
		return strings.Join(x, ",")
	case string:
		return redactURL(x)
	default:
		return fmt.Sprint(x)
	}
}
