// Command gen writes the policy of internal/muc as a page of the documentation.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/stoa-chat/stoa/internal/muc"
)

func main() {
	var page bytes.Buffer
	err := muc.WritePolicy(&page)
	if err == nil {
		err = os.WriteFile(os.Args[1], page.Bytes(), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
