namespace Millrace.Core;
