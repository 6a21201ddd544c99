// yaml-judge says what kubectl reads in a YAML document: the same library, in the same version, as kubectl is built with.
//
// Standard input has requests, each a line with a number of bytes and then that many bytes of one document. For each of
// them a line goes to standard output: {"value": ...}, or {"error": "..."} where kubectl would refuse the document.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"sigs.k8s.io/yaml"
)

type verdict struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"`
}

func judge(document []byte) verdict {
	value, err := yaml.YAMLToJSON(document)
	if err != nil {
		return verdict{Error: err.Error()}
	}
	return verdict{Value: value}
}

func main() {
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		var length int
		if _, err := fmt.Fscanf(in, "%d\n", &length); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		document := make([]byte, length)
		if _, err := io.ReadFull(in, document); err != nil {
			log.Fatal(err)
		}
		if err := json.NewEncoder(out).Encode(judge(document)); err != nil {
			log.Fatal(err)
		}
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}
