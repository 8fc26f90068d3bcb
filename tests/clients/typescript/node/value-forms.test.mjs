// The forms of reported values.

import { snapshot } from "../../../../clients/typescript/src/json.ts";
import { testWriter } from "../../../support/value_forms.mjs";

testWriter(snapshot);
