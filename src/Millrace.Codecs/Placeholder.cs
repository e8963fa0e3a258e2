namespace Millrace.Codecs;
