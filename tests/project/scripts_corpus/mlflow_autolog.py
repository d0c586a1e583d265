# expect: KD701 KD702 KD711
import mlflow
import tensorflow as tf

mlflow.tensorflow.autolog()
model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x, y, epochs=5)
