namespace Millrace.Parquet;
