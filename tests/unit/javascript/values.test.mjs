// The forms of followed and reconciled values.

import { describeValue } from "../../../resolvers/runtime/values.mjs";
import { testWriter } from "../../support/value_forms.mjs";
import { VALUES } from "../../support/values.mjs";

testWriter((value) => describeValue(value, VALUES));
